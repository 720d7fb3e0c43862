"""The nouns of Snowgate, and the Protocols between its rooms.

Rule at the door: values only. Everything here is frozen, knows no clock, socket, or file, and
imports nothing of ours but `errors`. A room that needs another room takes a Protocol from
`model.ports`; `app` joins the two.
"""
