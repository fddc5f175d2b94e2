"""Two routes for newcomers: / with the routes and lines to try, and /openapi.json (`description.py` makes it).

A browser that asks for / is sent on to the console.
"""

from typing import Any

from litestar import MediaType, Request, get
from litestar.response import Response

from engine.http.description import VERSION
from engine.http.events import BATCH, SINGLE

PAGE = """gridpatrol {version}

  POST /v1/events            publish a CloudEvent ({single})
  POST /v1/events/batch      publish several ({batch})
  GET  /v1/me                who you are: your posts, your rights, the active pack
  GET  /v1/pack              what a phone takes along: ?post=
  GET  /v1/locate            the grid of a position: ?position=LON,LAT&crs=
  GET  /v1/similar           open cases that may be the same: ?position=LON,LAT&category=&crs=
  GET  /v1/tasks             what waits for a post, and what it may say: ?post=
  GET  /v1/tasks/CODE        tasks given under a code, added up: ?grid=
  GET  /v1/targets           what owners have signed for, and what it says: ?owner=&year=&standing=
  GET  /v1/targets/ID        one target, opened into what was measured
  POST /v1/signals/values    values that devices measure, a batch of them
  POST /v1/petitions/ID/code a code for who asked, told once: ?post=
  POST /v1/answers           the answer to a petition, by its code; asks for no token
  GET  /v1/duties            what posts owe in a period: ?post=&period=&day=
  GET  /v1/events/status     what became of one: ?source=&id=
  GET  /v1/outcomes          what became of all that a phone has sent: ?source=&after=
  GET  /v1/incidents         the overdue desk: ?overdue=true&grid=&clock=&owner=&due_before=&sort=&cursor=
  GET  /v1/incidents/ID      one case in full, with its history
  GET  /v1/incidents/ID/words what people wrote, for those on its way: ?post=
  PUT  /v1/files/SHA256      a photo or another file; GET gives it, HEAD says how much has come
  GET  /v1/alerts            who was told that something is due: ?status=&grid=&since=
  GET  /v1/notices           who was told of which move of a case: ?post=&on=&grid=&since=
  GET  /v1/alerts/stream     both as they happen (Server-Sent Events)
  POST /v1/alerts/seen       a post has seen some of them
  GET  /v1/subscriptions     alerts and notices that you ask for yourself: POST makes one, by webhook or as a stream
  GET  /v1/deliveries        what channels told to whom: ?post=&channel=&status=
  GET  /v1/performance       figures of a subtree: ?grid=&by=&period=&rank=
  GET  /v1/performance/cases the cases behind one of them: ?measure=&unit=&by=&period=
  GET  /v1/assessment        a scorecard's sheet of a period: ?card=&period=
  GET  /v1/responsible       who must act on a problem in a grid: ?grid=&category=&at=
  GET  /v1/responsibilities  what bodies answer for, and who has signed it: ?body=&grid=&post=&unsigned=
  GET  /v1/deductions        what supervisions charge in a year: ?year=&grid=
  GET  /v1/approval-money    fees and compensation of approvals: ?from=&to=&grid=&purpose=&approval=
  GET  /v1/violations        decided violations, for a bank: ?since=
  GET  /v1/audit             what was done and chained, for inspection: ?only=exempted; /v1/audit/stream as it happens
  GET  /v1/verifications     when what is stored was verified, backed up and anchored last
  GET  /v1/ledger.csv        the ledger of a period, also as .xlsx: ?grid=&period=&day=&definition=
  GET  /v1/reports/NAME      bulletins, rankings, letters as files: ?period=&grid=&format=html, xlsx, docx or csv
  GET  /v1/grids.geojson     the grids with their borders, owners and open cases: ?grid=
  GET  /v1/organisation      grids, departments and posts; /v1/workflow has states, clocks and limits
  GET  /open311/v2/services  what the public may ask for (Open311 GeoReport v2, XML or .json); POST .../requests asks
  POST /v1/operator/...      what operators do: packs, letters, settlements, clock, people
  GET  /metrics /healthz /readyz /openapi.json

  curl {token}'{url}/v1/incidents?overdue=true&limit=5'
  curl {token}-N {url}/v1/alerts/stream
  curl {token}'{url}/v1/performance?by=grid&period=month'
"""


async def to_pages(request: Request[Any, Any, Any]) -> Response[bytes] | None:
    """Send a browser on to the pages for people."""
    if request.accept.best_match([MediaType.TEXT, MediaType.HTML]) != MediaType.HTML:
        return None
    return Response(b"", status_code=303, headers={"Location": "/desk", "Vary": "Accept"})


@get(
    "/",
    summary="The routes, and three lines to try",
    tags=["operations"],
    media_type=MediaType.TEXT,
    before_request=to_pages,
)
async def index(request: Request[Any, Any, Any]) -> str:
    """A first page for who asks with a program; a browser is sent on to the pages."""
    url = str(request.base_url).rstrip("/")
    token = '-H "Authorization: Bearer $GRIDPATROL_TOKEN" ' if request.app.state.principals.asked else ""
    return PAGE.format(token=token, version=VERSION, single=SINGLE[0], batch=BATCH, url=url)


@get("/openapi.json", summary="This description", tags=["operations"])
async def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The description of this door, generated when it is first asked for."""
    return Response(request.app.state.description(), media_type=MediaType.JSON)


ROUTES = [index, openapi]
