"""FreePBX 16 and 17, through a helper on the phone system that calls FreePBX's own PHP and tells no password.

Reading order: `frameroom_helper.php` (the one file that runs there), `requests` (all that can be sent),
`link` (its reasons in our words), `api` (FreePBX's own, where it is set up), `reading` (what is told by which),
`connector` (the operations), `capabilities` (what it says of itself),
`install` (what an administrator does, or lets Frameroom do once, on the phone system).
"""
