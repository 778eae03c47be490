"""The client of the control API, for tests and scripts: sync, and async under `aio`.

Rooms, top to bottom; imports go down only:
sync (waits for each answer) · aio (awaits it) · wire (httpx)
calls (what is asked, and how the answers are read) · report (what did happen, in words) · answers (as frozen values)
process (a proxy of one's own) · mitmdump (what runs in it) · written (mocks as a test gives them) · place (of a proxy)
"""
