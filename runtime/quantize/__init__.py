"""A bundle's network in other numbers: `bedside quantize`, and what such a variant was measured to give.

``make`` is the whole of it; nothing is imported here, because a run needs only the cards.
"""
