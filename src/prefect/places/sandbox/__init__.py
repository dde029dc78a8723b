"""The place that needs no engine: an image's files, and namespaces of the kernel around them.

Run passes here with an image, wherever it comes from. `place` has it unpacked (`trees`, `unpacking`), looked
into (`stack`, `spec`), put together (`entering`, or `merging`), bounded (`limits`) and entered
(`bubblewrap`, or `runc`), as far as the machine lets it (`host`). May import `images`, `oci`.
"""
