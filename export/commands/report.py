"""What a person should know of an export: where a checkpoint is unlike its family, what is not followed."""

from edge.bundle.manifest import Manifest
from edge.model.prompt_ids import family_chat
from export.sources.generation import NOT_FOLLOWED


def notes_of(manifest: Manifest) -> list[str]:
    """One sentence each."""
    notes: list[str] = []
    chat = manifest.chat
    if chat is not None and chat != family_chat(manifest.family):
        notes.append(
            f"its chat template is not the usual one of {manifest.family}, and is followed: {chat.before!r}, "
            f"the picture, {chat.between!r}, the words, {chat.after!r}"
        )
    if NOT_FOLLOWED in manifest.provenance:
        notes.append(f"answers are greedy; the checkpoint also asks for {manifest.provenance[NOT_FOLLOWED]}")
    return notes
