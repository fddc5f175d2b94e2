"""What the description of the door (OpenAPI) says of Open311 routes: their formats, their errors, and the form."""

from typing import Any

import msgspec

from engine.http.open311_answers import ENDINGS, JSON, ending_of
from engine.http.open311_posting import ATTRIBUTE, FORM
from schemas.open311 import RequestForm

AS_XML = {"type": "string", "description": "The same as XML: an element for each member, one for each item of a list."}


def operation_name(name: str, path: str) -> str:
    """The name of an operation: that of its handler, with the format that its path says."""
    return name + ending_of(path).replace(".", "_")


def in_formats(answers: dict[str, Any], path: str, of_error: str) -> dict[str, Any]:
    """The answers of a route by status: in the format of its path, or where that says none in both; errors as the
    specification has them, a list of what `of_error` refers to."""
    ending = ending_of(path)
    medias = [ENDINGS[ending]] if ending else list(ENDINGS.values())
    errors = {"type": "array", "items": {"$ref": of_error}}
    found = {}
    for status, told in answers.items():
        if status == "401":  # the specification has 403 for a key that is missing or wrong
            continue
        content = told["content"]
        shape = content[JSON]["schema"] if JSON in content else errors
        found[status] = {**told, "content": {media: {"schema": shape if media == JSON else AS_XML} for media in medias}}
    return found


def body_of_form() -> dict[str, Any]:
    """What may be sent as a form: texts, one of which is a key, and one for each attribute of a service."""
    shape = msgspec.json.schema(RequestForm)["$defs"][RequestForm.__name__]
    fields = {"api_key": {"type": "string", "description": "A key: the token of a principal."}}
    for name, field in shape["properties"].items():
        text = next((each for each in field.get("anyOf", [field]) if each.get("type") == "string"), field)
        fields[name] = {part: value for part, value in text.items() if part != "default"}
    schema = {
        "type": "object",
        "description": shape["description"],
        "required": shape["required"],
        "properties": fields,
        "patternProperties": {f"^{ATTRIBUTE.pattern}$": {"type": "string"}},
        "additionalProperties": False,
    }
    return {"required": True, "content": {FORM: {"schema": schema}}}
