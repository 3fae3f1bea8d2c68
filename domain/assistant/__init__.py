"""The assistant: models behind one Protocol, tools, prompts, and how a run makes an answer of them."""
