"""Container images and the engines that hold them. Nothing here knows what a flow is.

`references` parses image names; `daemon` is the one module that speaks to an engine.
"""
