"""The kinds of trigger that come with Sluiceway, a module each; the registry imports them."""
