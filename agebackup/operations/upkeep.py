"""What belongs around `create` within an app's lock: unfinished things before, pruning after."""

from agebackup.model.lastrun import Pruning
from agebackup.model.profile import Profile
from agebackup.model.reports import CreateReport
from agebackup.operations.order import Site
from agebackup.operations.record import Recording


def before_create(app: str, site: Site, record: Recording) -> None:
    """End what earlier runs left unfinished; what cannot be ended now is a warning."""


def prune_after(profile: Profile, site: Site, report: CreateReport, record: Recording) -> Pruning:
    """Prune by the app's policy; whatever goes wrong is a warning."""
    return Pruning()
