"""FreePBX 16 and 17, through a helper on the phone system that calls FreePBX's own PHP and tells no password.

Reading order: `frameroom_helper.php` (the one file that runs there), `requests` (the only lines that can be sent to
it), `link` (its reasons in our words), `connector` (the operations), `capabilities` (what it says of itself),
`install` (what an administrator does, or lets Frameroom do once, on the phone system).
"""
