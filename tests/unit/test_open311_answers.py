"""The answers of Open311 as the specification shows them: each example in XML and in JSON, from one value."""

from __future__ import annotations

import json
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from engine.http.open311_answers import JSON, XML, RequestError, written
from engine.http.open311_posting import form_of
from engine.views.questions import BadQuestion
from schemas.open311 import Created, Tokened

NOTICE = (
    "The City will inspect and require the responsible party to correct within 24 hours and/or issue a Correction "
    "Notice or Notice of Violation of the Public Works Code"
)
CANS = (
    "Garbage or recycling cans that have been left out for more than 24 hours after collection. Violators will be "
    "cited."
)
SIDEWALK = {
    "service_request_id": "638344",
    "status": "closed",
    "status_notes": "Duplicate request.",
    "service_name": "Sidewalk and Curb Issues",
    "service_code": "006",
    "description": None,
    "agency_responsible": None,
    "service_notice": None,
    "requested_datetime": "2010-04-14T06:37:38-08:00",
    "updated_datetime": "2010-04-14T06:37:38-08:00",
    "expected_datetime": "2010-04-15T06:37:38-08:00",
    "address": "8TH AVE and JUDAH ST",
    "address_id": "545483",
    "zipcode": "94122",
    "lat": 37.762221815,
    "long": -122.4651145,
    "media_url": "http://city.gov.s3.amazonaws.com/requests/media/638344.jpg",
}
EXAMPLES: dict[str, tuple[str, Any, str]] = {
    "service list": (
        "services",
        [
            {
                "service_code": "001",
                "service_name": "Cans left out 24x7",
                "description": CANS,
                "metadata": True,
                "type": "realtime",
                "keywords": "lorem, ipsum, dolor",
                "group": "sanitation",
            },
            {
                "service_code": "002",
                "metadata": True,
                "type": "realtime",
                "keywords": "lorem, ipsum, dolor",
                "group": "street",
                "service_name": "Construction plate shifted",
                "description": "Metal construction plate covering the street or sidewalk has been moved.",
            },
        ],
        f"""<?xml version="1.0" encoding="utf-8"?>
        <services>
            <service>
                <service_code>001</service_code>
                <service_name>Cans left out 24x7</service_name>
                <description>{CANS}</description>
                <metadata>true</metadata>
                <type>realtime</type>
                <keywords>lorem, ipsum, dolor</keywords>
                <group>sanitation</group>
            </service>
            <service>
                <service_code>002</service_code>
                <metadata>true</metadata>
                <type>realtime</type>
                <keywords>lorem, ipsum, dolor</keywords>
                <group>street</group>
                <service_name>Construction plate shifted</service_name>
                <description>Metal construction plate covering the street or sidewalk has been moved.</description>
            </service>
        </services>""",
    ),
    "service definition": (
        "service_definition",
        {
            "service_code": "DMV66",
            "attributes": [
                {
                    "variable": True,
                    "code": "WHISHETN",
                    "datatype": "singlevaluelist",
                    "required": True,
                    "datatype_description": None,
                    "order": 1,
                    "description": "What is the ticket/tag/DL number?",
                    "values": [{"key": 123, "name": "Ford"}, {"key": 124, "name": "Chrysler"}],
                }
            ],
        },
        """<?xml version="1.0" encoding="utf-8"?>
        <service_definition>
            <service_code>DMV66</service_code>
            <attributes>
                <attribute>
                    <variable>true</variable>
                    <code>WHISHETN</code>
                    <datatype>singlevaluelist</datatype>
                    <required>true</required>
                    <datatype_description></datatype_description>
                    <order>1</order>
                    <description>What is the ticket/tag/DL number?</description>
                    <values>
                        <value><key>123</key><name>Ford</name></value>
                        <value><key>124</key><name>Chrysler</name></value>
                    </values>
                </attribute>
            </attributes>
        </service_definition>""",
    ),
    "a request that was made": (
        "service_requests",
        [{"service_request_id": "293944", "service_notice": NOTICE, "account_id": None}],
        f"""<?xml version="1.0" encoding="utf-8"?>
        <service_requests>
            <request>
                <service_request_id>293944</service_request_id>
                <service_notice>{NOTICE}</service_notice>
                <account_id/>
            </request>
        </service_requests>""",
    ),
    "a token": (
        "service_requests",
        [{"service_request_id": "638344", "token": "12345"}],
        """<?xml version="1.0" encoding="utf-8"?>
        <service_requests>
            <request>
                <service_request_id>638344</service_request_id>
                <token>12345</token>
            </request>
        </service_requests>""",
    ),
    "requests": (
        "service_requests",
        [SIDEWALK],
        """<?xml version="1.0" encoding="utf-8"?>
        <service_requests>
            <request>
                <service_request_id>638344</service_request_id>
                <status>closed</status>
                <status_notes>Duplicate request.</status_notes>
                <service_name>Sidewalk and Curb Issues</service_name>
                <service_code>006</service_code>
                <description></description>
                <agency_responsible></agency_responsible>
                <service_notice></service_notice>
                <requested_datetime>2010-04-14T06:37:38-08:00</requested_datetime>
                <updated_datetime>2010-04-14T06:37:38-08:00</updated_datetime>
                <expected_datetime>2010-04-15T06:37:38-08:00</expected_datetime>
                <address>8TH AVE and JUDAH ST</address>
                <address_id>545483</address_id>
                <zipcode>94122</zipcode>
                <lat>37.762221815</lat>
                <long>-122.4651145</long>
                <media_url>http://city.gov.s3.amazonaws.com/requests/media/638344.jpg </media_url>
            </request>
        </service_requests>""",
    ),
    "errors": (
        "errors",
        [{"code": 403, "description": "Invalid api_key received -- can't proceed with create_request."}],
        """<?xml version="1.0" encoding="utf-8"?>
        <errors>
            <error>
                <code>403</code>
                <description>Invalid api_key received -- can't proceed with create_request.</description>
            </error>
        </errors>""",
    ),
    "discovery": (
        "discovery",
        {
            "changeset": "2011-02-03 14:18",
            "contact": "You can email or call for assistance api@mycity.org +1 (555) 555-5555",
            "key_service": "You can request a key here: http://api.mycity.gov/api_key/request",
            "endpoints": [
                {
                    "specification": "http://wiki.open311.org/GeoReport_v2",
                    "url": "http://open311.mycity.gov/v2",
                    "changeset": "2010-11-23 09:01",
                    "type": "production",
                    "formats": ["text/xml", "application/json"],
                }
            ],
        },
        """<?xml version="1.0" encoding="UTF-8"?>
        <discovery>
            <changeset>2011-02-03 14:18</changeset>
            <contact>You can email or call for assistance api@mycity.org +1 (555) 555-5555</contact>
            <key_service>You can request a key here: http://api.mycity.gov/api_key/request</key_service>
            <endpoints>
                <endpoint>
                    <specification>http://wiki.open311.org/GeoReport_v2</specification>
                    <url>http://open311.mycity.gov/v2</url>
                    <changeset>2010-11-23 09:01</changeset>
                    <type>production</type>
                    <formats>
                        <format>text/xml</format>
                        <format>application/json</format>
                    </formats>
                </endpoint>
            </endpoints>
        </discovery>""",
    ),
}
"""What is shown -> its root, the value as its JSON has it (codes are texts), and its XML."""


def shape(element: Element) -> Any:
    """An element without the blanks between elements: its tag, and its text or its parts in order."""
    return element.tag, [shape(part) for part in element] or (element.text or "").strip()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_specification_is_written_in_both_formats(example: str) -> None:
    root, value, xml = EXAMPLES[example]
    document = written(root, value, XML)
    assert document.startswith(b'<?xml version="1.0" encoding="utf-8"?>\n<' + root.encode())
    assert shape(fromstring(document)) == shape(fromstring(xml.encode()))
    assert json.loads(written(root, value, JSON)) == value


def test_structs_are_written_as_the_examples_are() -> None:
    made = Created(service_request_id="293944")
    assert written("service_requests", [made], JSON) == (
        b'[{"service_request_id":"293944","service_notice":null,"account_id":null}]'
    )
    assert b"<request><token>12</token><service_notice" in written("service_requests", [Created(token="12")], XML)
    assert json.loads(written("service_requests", [Tokened("1", "1")], JSON)) == [
        {"service_request_id": "1", "token": "1"}
    ]
    assert written("services", [], XML).endswith(b"<services />")
    assert written("services", [], JSON) == b"[]"


@pytest.mark.parametrize("text", ["a\x0bb", "\x00", "<b>&amp;]]>", "\ufffe\ud7ff", "行\n二\t", "'\""])
def test_whatever_a_text_holds_the_document_can_be_read(text: str) -> None:
    document = fromstring(written("errors", [RequestError(400, text)], XML))
    read = document.findtext("error/description")
    assert read is not None
    assert [mine for mine, theirs in zip(text, read, strict=True) if mine != theirs] == [
        character for character in text if character in "\x0b\x00\ufffe"
    ]


WHERE = {"service_code": "D3-01", "lat": "34.1", "long": "108.1"}
WRONG = {
    "no service": ({"lat": "34.1", "long": "108.1"}, "service_code", "is missing"),
    "no place": ({"service_code": "D3-01"}, "lat", "says nowhere"),
    "half a place": ({"service_code": "D3-01", "lat": "34.1", "address_string": "here"}, "long", "go together"),
    "no number": (WHERE | {"lat": "north"}, "lat", "no number of degrees"),
    "not a number": (WHERE | {"long": "nan"}, "long", "no number of degrees"),
    "off the globe": (WHERE | {"lat": "91"}, "lat", "nowhere on Earth"),
    "too far east": (WHERE | {"long": "-180.5"}, "long", "nowhere on Earth"),
    "too much": (WHERE | {"description": "x" * 4001}, "description", "length <= 4000"),
    "no address": (WHERE | {"media_url": "javascript:alert(1)"}, "media_url", "no address of http"),
    "no such field": (WHERE | {"colour": "blue"}, "colour", "no field of a request"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_form_that_cannot_be_taken_is_refused_with_the_field_and_the_reason(case: str) -> None:
    fields, field, words = WRONG[case]
    with pytest.raises(BadQuestion) as refused:
        form_of(fields, "app")
    assert refused.value.field == field
    assert words in refused.value.message
    assert not any(text in refused.value.message for text in fields.values() if len(text) > 4)


def test_the_same_form_is_known_by_who_sends_it_and_by_all_that_it_says() -> None:
    same = form_of(dict(reversed(WHERE.items())), "app")
    assert form_of(WHERE, "app").digest == same.digest
    assert form_of(WHERE, "portal").digest != same.digest
    assert form_of(WHERE | {"attribute[A]": "1"}, "app").digest != same.digest
    assert form_of(WHERE | {"description": "x"}, "app").digest != same.digest
