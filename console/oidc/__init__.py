"""Sign-in at an OpenID Connect provider: by its page in a browser, or by a code typed there."""
