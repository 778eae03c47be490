"""The HTTP API: the operations as paths, for tests, scripts and the page.

Rooms, top to bottom; imports go down only:
app (from a request to its answer) · openapi (what there is, for machines) · routes (what there is)
reading (lists, waiting, files) · writing (operations) · here (what handlers work with)
page (for people) · asking (parameters) · access (who may) · answers (what leaves) · shapes (of what leaves)
"""
