"""Text: HTML to plain text, what a person wrote in an e-mail, secrets masked, the language of a text."""
