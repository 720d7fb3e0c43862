"""Shows what a policy does, offline, by the code the gateway uses: explain, test, what-if, learn.

    Setting (policy, catalog) ──► analyse ──► judge ──► verdict, and the reasons of every rule

Rule at the door: nothing here decides. A verdict comes from `snowgate.policy.judge` alone, for a
statement from `snowgate.sql`; this room only asks, compares and tells. It opens no socket, and
resolves no reference of a configuration (F26).
"""
