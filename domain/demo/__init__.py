"""The demo firm: a believable Indian and international wealth manager, the same whenever it is made."""
