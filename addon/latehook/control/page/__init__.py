"""The page: its HTML, style and scripts, and the response that is made from them."""
