"""What a run leaves behind: one file of JSON lines, from its beginning to its end.

Info passes here, of runs. May import payload's description of flows, core, and what stands below.
"""
