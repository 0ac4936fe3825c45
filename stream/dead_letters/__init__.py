"""Dead letters: what ``events.rejected`` holds, read, and sent again once what was wrong is mended."""
