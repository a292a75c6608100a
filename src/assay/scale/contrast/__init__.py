"""How are all pairs of rows held against one another, as softmaxes or one by one?"""
