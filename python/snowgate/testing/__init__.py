"""Helpers we ship for tests and the demo: an OIDC issuer whose tokens can be wrong in chosen ways.

Rule at the door: nothing here is used by a running gateway. The keys are real, the issuer is not:
it gives a token to whoever can read its key file.
"""
