"""Frameroom's gateway: the one door between a maintainer's engineers and a customer's phone system.

The nouns, in the order in which a visit meets them: an **engineer** signs in; a **customer** owns **phone
systems** and has an **agreement** that says what may ever be allowed; a **request** asks for operations on one
phone system; **approvals** (or a consent taken by telephone, labelled so) turn it into a **grant**, which ends and
can be revoked; under it a **session** carries typed **operations**, each with its **events** and all of it in a
**recording**.

Reading order: `session/ssh_server.py` → `session/session.py` → `session/shell.py` → `audit/log.py`.
The pure core is `model`, `lifecycle`, `policy`: no I/O, and time is a parameter.
"""
