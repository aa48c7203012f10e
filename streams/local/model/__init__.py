"""A stand-in for a language model: the API of OpenAI over rules, which are no real model.

``offline-rules`` answers from the passages in its prompt, asks for tools by the words of the
question and turns their results into Portuguese sentences. The same request has the same
answer, so demonstrations, load and fault tests need no network and no key.

``smollm2`` is a real one behind the same API, very small and without tools.
"""
