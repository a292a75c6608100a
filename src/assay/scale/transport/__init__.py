"""How is mass moved from one set to another, over tiles or along lines?"""
