"""A page to listen to separated songs in a browser, with their scores if they have any.

`write_page` writes a folder that opens from disk, without a server or network.
"""

from asteroid_tfswa.page.page import PageSong, check_megabytes, check_page_folder, write_page

__all__ = ["PageSong", "check_megabytes", "check_page_folder", "write_page"]
