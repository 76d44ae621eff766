"""Every name of TensorRT that our code uses is in TensorRT 10.3, 10.13, 10.16 and 11.4.

`fixtures/tensorrt-api` lists what NVIDIA's own Python bindings of these versions have: enums with their
values, members of classes, and the module's names under "top".
"""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LISTS = Path(__file__).parents[1] / "fixtures/tensorrt-api"
VERSIONS = ("10.3", "10.13", "10.16", "11.4")
FILES = ("export/tensorrt/build.py", "edge/engines/tensorrt.py")
RTX_ONLY = "_aim"  # a function for TensorRT-RTX, which none of these versions is

# Which class an expression is of, where the code does not say it by calling the constructor.
OBJECTS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "error": "ParserError",
    "cache": "ITimingCache",
    "layer": "ILayer",
    "tensor": "ITensor",
    "engine": "ICudaEngine",
    "inspector": "EngineInspector",
    "self._runtime": "Runtime",
    "self._context": "IExecutionContext",
}
RESULTS = {
    "Runtime.deserialize_cuda_engine": "ICudaEngine",
    "IBuilderConfig.get_timing_cache": "ITimingCache",
}


def _api(version: str) -> dict[str, Any]:
    smaller = json.loads((LISTS / "smaller-classes.json").read_text())[version]
    return json.loads((LISTS / f"{version}.json").read_text()) | smaller


def names_used(source: str) -> set[str]:
    """Dotted names after `trt.`, and Class.member of what is used of TensorRT's objects."""
    found: set[str] = set()
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == RTX_ONLY:
            function.body.clear()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not node.attr.startswith("__init"):
            text, owner = ast.unparse(node), _class_of(node.value)
            if owner:
                found.add(f"{owner}.{node.attr}")
            elif text.startswith("trt.") and "(" not in text:
                found.add(text.removeprefix("trt."))
    return found


def _class_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if ast.unparse(node.func.value) == "trt":
            return node.func.attr
        return RESULTS.get(f"{_class_of(node.func.value)}.{node.func.attr}")
    return OBJECTS.get(ast.unparse(node))


def missing(used: set[str], api: dict[str, Any]) -> set[str]:
    return {name for name in used if not _has(name, api)}


def _has(name: str, api: dict[str, Any]) -> bool:
    owner, _, member = name.rpartition(".")
    if name == "__version__":
        return True
    if not owner:
        return name in api["top"]
    if f"class {owner}" in api:
        return member in (api[f"class {owner}"] or ())
    return isinstance(api.get(owner), dict) and member in api[owner]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES)
def test_every_name_is_in_every_version(file: str, version: str):
    assert missing(names_used((ROOT / file).read_text()), _api(version)) == set()


def test_the_names_are_found():
    used = set.union(*(names_used((ROOT / file).read_text()) for file in FILES))
    assert {
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "ILogger.Severity.WARNING",
        "Builder.build_serialized_network",
        "IBuilderConfig.set_timing_cache",
        "ITimingCache.serialize",
        "ParserError.node_name",
        "ILayer.metadata",
        "ICudaEngine.create_engine_inspector",
        "EngineInspector.get_engine_information",
        "Runtime.deserialize_cuda_engine",
        "ICudaEngine.get_tensor_location",
        "IExecutionContext.execute_async_v3",
    } <= used


@pytest.mark.parametrize("file", FILES)
def test_no_object_of_tensorrt_is_overlooked(file: str):
    """What looks like a member of one of its classes is used on an object whose class is known here."""
    api = _api("10.3")
    members = {
        name for key, names in api.items() if key.startswith("class ") for name in names or () if "_" in name
    }
    tree = ast.parse((ROOT / file).read_text())
    overlooked = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in members and not _class_of(node.value)
    }
    assert overlooked == set()


@pytest.mark.parametrize(
    ("source", "strange", "since"),
    [
        ("config.set_flag(trt.BuilderFlag.FP16)", "BuilderFlag.FP16", "11.4"),
        ("trt.OnnxParserFlag.ADJUST_FOR_DLA", "OnnxParserFlag.ADJUST_FOR_DLA", "10.3"),
        ("builder.platform_has_fast_fp16", "Builder.platform_has_fast_fp16", "11.4"),
        ("trt.Builder(logger).build_engine_with_config", "Builder.build_engine_with_config", "10.3"),
        ("trt.EngineStat.TOTAL_WEIGHTS_SIZE", "EngineStat.TOTAL_WEIGHTS_SIZE", "10.3"),
        ("self._context.execute_async_v4(0)", "IExecutionContext.execute_async_v4", "10.13"),
        ("trt.Nothing", "Nothing", "10.16"),
    ],
)  # fmt: skip
def test_a_name_that_a_version_lacks_is_found(source: str, strange: str, since: str):
    assert strange in missing(names_used(source), _api(since))
