"""What a run looks like: its record as one page, as a picture, as text, and as a page that follows it.

Info passes here, of runs. May import records, core and what stands below; knows nothing of the command.
"""
