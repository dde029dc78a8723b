"""Container images and where they are kept. Nothing here knows what a flow is.

`references` parses image names; `images` has images as values, and `layers` writes new layers;
`registry` fetches and pushes, with no engine; `archives` reads and writes images in files; `store`
keeps on disk what is dear to make; `filesystem` reads files in images; `validation` checks whole
images; `daemon` and what begins from it speak to an engine, and `loading` gives it an image.
"""
