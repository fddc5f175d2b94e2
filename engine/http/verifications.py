"""When what is stored was verified, backed up and anchored last, at the door, for who operates the server."""

from litestar import get
from litestar.di import NamedDependency

from engine.http.context import DoorContext
from engine.store.database import Connection
from engine.views.names import active_names
from engine.views.verifications import Verifications, verifications_of


@get("/v1/verifications", summary="When what is stored was verified last", tags=["operator"])
async def show_verifications(context: NamedDependency[DoorContext]) -> Verifications:
    """The last runs of `gridpatrol verify` and `gridpatrol audit verify` with what came of them, the last backup by
    `gridpatrol backup`, the last anchor, and where the chains stand."""

    def ask(connection: Connection) -> Verifications:
        return verifications_of(connection, active_names(connection, context.policies).instant)

    return await context.read(ask)


OPERATOR_ROUTES = [show_verifications]
