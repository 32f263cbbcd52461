"""Parameters as a contract: schema, binding, codec and injection. Knows nothing of notebooks as files."""

from nbprod.parameters.bind import Parameters, bind
from nbprod.parameters.codec import tag, untag
from nbprod.parameters.inject import injected_source
from nbprod.parameters.jsonschema import json_schema
from nbprod.parameters.parameter import REQUIRED, Parameter, Required, Unevaluated
from nbprod.parameters.plain import plain
from nbprod.parameters.schema import Schema
from nbprod.parameters.signature import signature
from nbprod.parameters.text import Text

__all__ = [
    "REQUIRED",
    "Parameter",
    "Parameters",
    "Required",
    "Schema",
    "Text",
    "Unevaluated",
    "bind",
    "injected_source",
    "json_schema",
    "plain",
    "signature",
    "tag",
    "untag",
]
