"""A page to listen to: separated songs in the browser, with their scores where there are any.

`write_page` writes one folder that opens from disk: no server, no network, no build step.
"""

from asteroid_tfswa.page.page import PageSong, check_megabytes, write_page

__all__ = ["PageSong", "check_megabytes", "write_page"]
