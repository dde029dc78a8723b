"""Secrets: names whose values exist only where a flow runs.

Build searches artifacts for values (`search`), run resolves, hands over and masks them.
"""
