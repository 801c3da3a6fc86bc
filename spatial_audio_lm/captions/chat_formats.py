"""How chat models want to be addressed, by name: the markers around what is said to them.

A GGUF file carries a template of its own for this, a program in Jinja that would run here. It is never read: the few
formats in use stand below, and whoever runs a model says which one it was trained with.
"""

import difflib
import re
from dataclasses import dataclass

from spatial_audio_lm.errors import ConfigError, TextError

# What a model reads as a marker and not as words, in any of the formats.
_MARKER = re.compile(
    r"<\|[^\s|>]{1,40}\|>|</?(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|</?s>|</?think>", re.IGNORECASE
)


@dataclass(frozen=True)
class ChatFormat:
    """Markers of a format; the token at the beginning of every text is the engine's to add.

    Attributes:
        user: around what is asked, `{user}`.
        stop: where the model's turn ends, in text.
        system: around standing instructions, `{system}`, before the user's turn; empty where the format has no such
            turn, and they begin the user's.
    """

    user: str
    stop: tuple[str, ...]
    system: str = ""

    def render(self, user: str, system: str = "") -> str:
        """The text that a model continues.

        Args:
            user: what is asked.
            system: standing instructions; none where empty.
        """
        if system and not self.system:
            user, system = f"{system}\n\n{user}", ""
        # Not str.format: what is asked may hold braces.
        before = self.system.replace("{system}", system) if system else ""
        return before + self.user.replace("{user}", user)


_CHATML = "<|im_start|>{role}\n{text}<|im_end|>\n"
_LLAMA3 = "<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"
_PHI = "<|{role}|>\n{text}<|end|>\n"

CHAT_FORMATS: dict[str, ChatFormat] = {
    "chatml": ChatFormat(
        system=_CHATML.format(role="system", text="{system}"),
        user=_CHATML.format(role="user", text="{user}") + "<|im_start|>assistant\n",
        stop=("<|im_end|>", "<|endoftext|>"),
    ),
    # ChatML with the model's thoughts opened and closed: it answers at once.
    "qwen3": ChatFormat(
        system=_CHATML.format(role="system", text="{system}"),
        user=_CHATML.format(role="user", text="{user}") + "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        stop=("<|im_end|>", "<|endoftext|>"),
    ),
    "llama2": ChatFormat(user="[INST] {user} [/INST]", stop=("</s>", "[INST]")),
    "llama3": ChatFormat(
        system=_LLAMA3.format(role="system", text="{system}"),
        user=_LLAMA3.format(role="user", text="{user}") + "<|start_header_id|>assistant<|end_header_id|>\n\n",
        stop=("<|eot_id|>", "<|end_of_text|>"),
    ),
    "gemma": ChatFormat(
        user="<start_of_turn>user\n{user}<end_of_turn>\n<start_of_turn>model\n", stop=("<end_of_turn>", "<eos>")
    ),
    "mistral": ChatFormat(user="[INST] {user} [/INST]", stop=("</s>", "[INST]")),
    "phi": ChatFormat(
        system=_PHI.format(role="system", text="{system}"),
        user=_PHI.format(role="user", text="{user}") + "<|assistant|>\n",
        stop=("<|end|>", "<|endoftext|>"),
    ),
    # A model that was never taught to chat goes on writing: its first paragraph is taken.
    "plain": ChatFormat(user="{user}\n", stop=()),
}
"""Formats by the name that a configuration gives."""


def chat_format(name: str) -> ChatFormat:
    """The format of a name.

    Raises:
        ConfigError: there is none; the nearest is named.
    """
    if name not in CHAT_FORMATS:
        near = difflib.get_close_matches(name, CHAT_FORMATS, n=1, cutoff=0.0)[0]
        raise ConfigError(f"no chat format {name!r}: did you mean {near!r}? known are {', '.join(CHAT_FORMATS)}")
    return CHAT_FORMATS[name]


def require_no_marker(text: str, what: str) -> None:
    """Refuse words that a model would read as the end of a turn or the like.

    Raises:
        TextError: naming the marker.
    """
    if found := _MARKER.search(text):
        raise TextError(
            f"{what} holds {found[0]!r}, which a language model takes for a marker of its chat: take it out of the text"
        )
