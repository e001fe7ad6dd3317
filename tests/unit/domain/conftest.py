"""Laws are checked by Hypothesis without a deadline: the machine may be busy with other things."""

from hypothesis import settings

settings.register_profile("domain", deadline=None)
settings.load_profile("domain")
