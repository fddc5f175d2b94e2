"""What waits for a post: for its app, and for whoever reads."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.http.auth import check_speaks_or_reads
from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.views import task_codes, tasks
from engine.views.task_codes import TaskCodePage, TaskCodeQuestion, task_code_page
from engine.views.tasks import TaskPage, TaskQuestion, task_page
from workflows.reading import READS_EVERYTHING

Post = Annotated[str, QueryParameter(description="Code of the post whose tasks these are.")]
Limit = Annotated[
    int, QueryParameter(description="Tasks of a page.", schema_extra={"minimum": 1, "maximum": tasks.MOST})
]
TaskCode = Annotated[str, PathParameter(description="The common code of the tasks.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: only tasks of its subtree.")]
CodeLimit = Annotated[
    int, QueryParameter(description="Tasks of a page.", schema_extra={"minimum": 1, "maximum": task_codes.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


@get("/v1/tasks", response_class=Listing, summary="What waits for a post", tags=["tasks"])
async def list_tasks(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    post: Post,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> TaskPage:
    """What this post has to do, the next deadline first: dissuade, report, accept, handle, check, close, its duties.
    `allowed` has what the post may say now, as the rules would take it; `works` marks what does the work. A page may be
    short and have a `next` all the same. It is answered to whoever may speak for the post; others see of it the cases
    that they read."""
    check_speaks_or_reads(request.user, post)
    question, now = TaskQuestion(post=post, limit=limit, cursor=cursor), context.now()
    policies, own = context.policies, request.user.may_speak(post)
    return await context.read_as(
        request.user,
        lambda connection, readable: task_page(
            connection, policies, question, now, READS_EVERYTHING if own else readable
        ),
    )


@get("/v1/tasks/{code:str}", response_class=Listing, summary="The tasks of one code, added up", tags=["tasks"])
async def tasks_of_code(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    code: TaskCode,
    grid: Grid = "",
    limit: CodeLimit = 100,
    cursor: Cursor = "",
) -> TaskCodePage:
    """What was given to whom under a code (任务), how much of it is done, and who is late. Sums are of all tasks that
    the principal reads; amounts are decimal texts, added up exactly, apart for each word of `counted_in`."""
    question = TaskCodeQuestion(code=code, grid=grid, limit=limit, cursor=cursor)
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: task_code_page(connection, policies, question, now, readable)
    )


ROUTES, OF_CODES = [list_tasks], [tasks_of_code]
