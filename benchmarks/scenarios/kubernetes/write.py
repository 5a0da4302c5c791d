from pathlib import Path


def names() -> list[str]:
    return []


def case(name: str, out: Path) -> None:
    pass
