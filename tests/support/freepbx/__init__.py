"""A FreePBX to try the helper on: FreePBX's tables on a real MariaDB, and a stand-in for its PHP classes."""
