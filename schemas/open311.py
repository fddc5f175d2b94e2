"""What Open311 GeoReport v2 says, member by member, as its specification has it: answers of the door, and a form.

http://wiki.open311.org/GeoReport_v2
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.members import LINK

SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
DEGREES = r"^-?[0-9]{1,3}(\.[0-9]{1,15})?$(?!\n)"
Short = Annotated[str, Meta(max_length=200)]


class Status(StrEnum):
    """How far a request is."""

    OPEN = "open"
    CLOSED = "closed"


class Service(Struct, frozen=True):
    """A category of the pack as a service that can be asked for."""

    service_code: str
    service_name: str
    description: str
    metadata: bool
    type: Literal["realtime", "batch", "blackbox"]
    keywords: str
    group: str


class ServiceAttribute(Struct, frozen=True):
    """A question that a form of a service asks besides; no pack asks any yet."""

    variable: bool
    code: str
    datatype: str
    required: bool
    datatype_description: str | None
    order: int
    description: str


class ServiceDefinition(Struct, frozen=True):
    """What the form of a service asks besides what all ask."""

    service_code: str
    attributes: list[ServiceAttribute]


class ServiceRequest(Struct, frozen=True, kw_only=True):
    """A petition as the public sees it. `status_notes` is its state; `expected_datetime` its next deadline. `lat` and
    `long` (WGS84) are rounded to a thousandth of a degree."""

    service_request_id: str
    status: Status
    status_notes: str | None
    service_name: str
    service_code: str
    description: str | None
    agency_responsible: str | None
    service_notice: str | None
    requested_datetime: str
    updated_datetime: str
    expected_datetime: str | None
    address: str | None
    address_id: str | None
    zipcode: str | None
    lat: float | None
    long: float | None
    media_url: str | None


class Created(Struct, frozen=True, kw_only=True):
    """What became of a request that was sent: its id; or a token, which is the id that it gets once it is decided."""

    service_request_id: str | UnsetType = UNSET
    token: str | UnsetType = UNSET
    service_notice: str | None = None
    account_id: str | None = None


class Tokened(Struct, frozen=True):
    """The request of a token."""

    service_request_id: str
    token: str


class Endpoint(Struct, frozen=True):
    """A version of an interface, where it answers and in which formats."""

    specification: str
    url: str
    changeset: str
    type: Literal["production", "test"]
    formats: list[str]


class Discovery(Struct, frozen=True):
    """Where the interface answers, and whom to ask for a key."""

    changeset: str
    contact: str
    key_service: str
    endpoints: list[Endpoint]


class RequestForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request as it is sent. Where it is: `lat` and `long` in degrees of WGS84, or `address_string`, or the code of a
    grid as `address_id`. Who sends it, and how to reach them, is sealed, and so is what was written."""

    service_code: Annotated[str, Meta(min_length=1, max_length=64)]
    lat: Annotated[str, Meta(pattern=DEGREES)] | None = None
    long: Annotated[str, Meta(pattern=DEGREES)] | None = None
    address_string: Annotated[str, Meta(max_length=1000)] | None = None
    address_id: Annotated[str, Meta(max_length=64)] | None = None
    email: Short | None = None
    device_id: Short | None = None
    account_id: Short | None = None
    first_name: Short | None = None
    last_name: Short | None = None
    phone: Short | None = None
    description: Annotated[str, Meta(max_length=4000)] | None = None
    media_url: Annotated[str, Meta(max_length=2000, pattern=LINK)] | None = None
    jurisdiction_id: Short | None = None
