"""The main job, shown: an issuer, the Snowflake stand-in, the gateway, and a real driver.

Rule at the door: nothing here is used by the gateway. The demo starts every part as a process of
its own, with empty state and free ports, and talks to them as a user would.
"""
