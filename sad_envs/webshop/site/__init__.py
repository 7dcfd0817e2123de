"""The WebShop site: the shop as a small web application (extra `webshop`)."""
