"""What a store promises about what waits to be said in chat."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.chat import (
    ROOT_SLOT,
    Delivery,
    DeliveryOp,
    MessageRef,
    PendingDelivery,
)
from bot.domain.errors import StaleWrite
from bot.domain.ids import IncidentId
from tests.contracts.store_nouns import (
    NOW,
    ROOM,
    AnyStore,
    add_incident,
    delivery,
    incident,
    posted,
)

INC = IncidentId("inc_1")
OPEN, UPDATE_ROOT = DeliveryOp.OPEN_THREAD, DeliveryOp.UPDATE_ROOT
POST, UPDATE, SETTLE = DeliveryOp.POST_CARD, DeliveryOp.UPDATE_CARD, DeliveryOp.SETTLE_CARD
PRIVATE = DeliveryOp.ANSWER_PRIVATELY
CARD = "card:req_1"


async def due(store: AnyStore, after: timedelta = timedelta()) -> list[PendingDelivery]:
    async with store.reading() as rows:
        return list(await rows.due_deliveries(NOW + after, 99))


async def due_keys(store: AnyStore, after: timedelta = timedelta()) -> list[str]:
    return [pending.delivery.key for pending in await due(store, after)]


async def put(store: AnyStore, *deliveries: Delivery) -> None:
    async with store.transaction() as tx:
        for each in deliveries:
            await tx.put(each)


async def project(store: AnyStore, *deliveries: Delivery) -> None:
    async with store.transaction() as tx:
        await tx.project(deliveries)


async def sent(store: AnyStore, pending: PendingDelivery, message_id: str | None = None) -> None:
    ref = None if message_id is None else posted(message_id)
    async with store.transaction() as tx:
        await tx.mark_sent(pending.sequence, ref, NOW)


async def send_all(store: AnyStore) -> list[tuple[DeliveryOp, str, str]]:
    """Play the deliverer; what was sent as (op, slot, title), in order."""
    said = []
    while waiting := await due(store):
        for pending in waiting:
            said.append((pending.delivery.op, pending.delivery.slot, pending.delivery.message.title))
            await sent(store, pending, f"$m{pending.sequence}")
    return said


class OutboxContract:
    async def test_one_threads_deliveries_take_turns_and_others_do_not_wait(self, store: AnyStore) -> None:
        await add_incident(store, incident(1))
        await add_incident(store, incident(2))
        await put(
            store,
            delivery("a1", OPEN),
            delivery("a2"),
            delivery("b1", OPEN, number=2),
            delivery("c1", OPEN, room="other"),
            delivery("a3", PRIVATE),
            delivery("d1", number=None),
            delivery("d2", number=None),
        )
        assert await due_keys(store) == ["a1", "b1", "c1", "a3", "d1", "d2"]
        first = (await due(store))[0]
        await sent(store, first, "$root")
        assert await due_keys(store) == ["a2", "b1", "c1", "a3", "d1", "d2"]

    async def test_a_failed_delivery_waits_and_holds_its_thread_back(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN), delivery("a2"))
        pending = (await due(store))[0]
        retry_at = NOW + timedelta(minutes=1)
        async with store.transaction() as tx:
            await tx.mark_failed(pending.sequence, "homeserver down", retry_at)
            assert await tx.next_delivery_at() == retry_at
        assert await due_keys(store) == []
        again = (await due(store, timedelta(minutes=1)))[0]
        assert (again.delivery, again.attempts, again.due_at) == (pending.delivery, 1, retry_at)

    async def test_a_card_is_on_its_way_to_its_room_until_it_is_recorded_as_sent(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident())

        async def on_its_way(room: str = ROOM) -> bool:
            async with store.reading() as rows:
                return await rows.card_on_its_way(room)

        await put(store, delivery("r", OPEN), delivery("d"))
        assert not await on_its_way()
        await put(store, delivery("c1", POST, slot=CARD))
        assert await on_its_way()
        assert not await on_its_way("another room")
        await sent(store, (await due(store))[0], "$root")
        await sent(store, (await due(store))[0], "$reply")
        card = (await due(store))[0]
        async with store.transaction() as tx:
            await tx.mark_failed(card.sequence, "no answer", NOW + timedelta(hours=1))
        assert await on_its_way()
        await sent(store, card, "$card")
        assert not await on_its_way()

    async def test_with_nothing_to_send_there_is_no_next_time(self, store: AnyStore) -> None:
        async with store.reading() as rows:
            assert await rows.next_delivery_at() is None
            assert list(await rows.due_deliveries(NOW, 9)) == []

    async def test_a_known_key_is_put_once_even_after_it_was_sent(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN), delivery("a1", OPEN, text="again"))
        pending = await due(store)
        assert [p.delivery.message.title for p in pending] == ["hello"]
        await sent(store, pending[0], "$root")
        await put(store, delivery("a1", OPEN))
        assert await due(store) == []

    async def test_replies_and_edits_learn_which_messages_they_refer_to(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN), delivery("a2", POST, slot=CARD), delivery("a3"))
        await project(store, delivery("a4", SETTLE, slot=CARD, text="over"))
        opening = (await due(store))[0]
        assert (opening.thread, opening.target) == (None, None)
        await sent(store, opening, "$root")
        card = (await due(store))[0]
        assert (card.delivery.op, card.thread, card.target) == (POST, posted("$root"), None)
        await sent(store, card, "$card")
        reply = (await due(store))[0]
        assert (reply.delivery.key, reply.thread, reply.target) == ("a3", posted("$root"), None)
        await sent(store, reply, "$reply")
        settling = (await due(store))[0]
        assert (settling.thread, settling.target) == (posted("$root"), posted("$card"))
        async with store.reading() as rows:
            assert await rows.message_ref(INC, ROOM, CARD) == posted("$card")
            assert await rows.message_ref(INC, "other", CARD) is None
            assert await rows.slot_of(posted("$card")) == (INC, CARD)
            assert await rows.slot_of(posted("$reply")) == (INC, "a3")
            elsewhere = MessageRef(platform="matrix", room="!elsewhere:test", message_id="$card")
            assert await rows.slot_of(elsewhere) is None

    async def test_an_answer_hangs_on_the_message_it_was_given(self, store: AnyStore) -> None:
        await put(store, replace(delivery("a1", number=None), thread=posted("$question")))
        assert (await due(store))[0].thread == posted("$question")

    async def test_marking_sent_twice_keeps_the_first_message(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN))
        pending = (await due(store))[0]
        await sent(store, pending, "$root")
        await sent(store, pending, "$other")
        async with store.reading() as rows:
            assert await rows.message_ref(INC, ROOM, ROOT_SLOT) == posted("$root")
        with pytest.raises(StaleWrite):
            async with store.transaction() as tx:
                await tx.mark_sent(pending.sequence + 100, None, NOW)

    async def test_the_same_content_is_not_projected_twice(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN))
        await project(store, delivery("a2", UPDATE_ROOT))
        assert await send_all(store) == [(OPEN, ROOT_SLOT, "hello")]
        await project(store, delivery("a3", UPDATE_ROOT))
        assert await send_all(store) == []
        await project(store, delivery("a4", UPDATE_ROOT, text="new"))
        await project(store, delivery("a5", UPDATE_ROOT, text="new"))
        assert await send_all(store) == [(UPDATE_ROOT, ROOT_SLOT, "new")]

    async def test_content_that_nobody_has_sent_yet_is_replaced_in_its_place(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN), delivery("a2"))
        await project(store, delivery("a3", UPDATE_ROOT, text="newer"))
        await project(store, delivery("a4", UPDATE_ROOT, text="newest"))
        assert await send_all(store) == [
            (OPEN, ROOT_SLOT, "newest"),
            (DeliveryOp.REPLY, "a2", "hello"),
        ]
        for text in ("edit 1", "edit 2", "edit 3"):
            await project(store, delivery(text, UPDATE_ROOT, text=text))
        assert await send_all(store) == [(UPDATE_ROOT, ROOT_SLOT, "edit 3")]

    async def test_content_replaced_while_it_was_being_sent_is_sent_after_it(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN))
        handed_out = (await due(store))[0]
        await project(store, delivery("a2", UPDATE_ROOT, text="newer"))
        await sent(store, handed_out, "$root")
        assert await send_all(store) == [(UPDATE_ROOT, ROOT_SLOT, "newer")]
        await project(store, delivery("a3", UPDATE_ROOT, text="newer"))
        assert await send_all(store) == []

    async def test_content_replaced_after_a_try_is_sent_again_under_another_key(
        self, store: AnyStore
    ) -> None:
        """The platform may have taken the first try, and then ignores everything else under its key."""
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN))
        async with store.transaction() as tx:
            await tx.mark_failed((await tx.due_deliveries(NOW, 1))[0].sequence, "timeout", NOW)
        await project(store, delivery("a2", UPDATE_ROOT, text="newer"))
        second_try = (await due(store))[0]
        assert (second_try.delivery.key, second_try.delivery.message.title) == ("a1", "newer")
        await sent(store, second_try, "$root")
        edit = (await due(store))[0]
        assert (edit.delivery.op, edit.delivery.message.title) == (UPDATE_ROOT, "newer")
        assert edit.delivery.key != "a1"

    async def test_creating_a_message_that_exists_becomes_an_edit(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await project(store, delivery("a1", OPEN))
        await send_all(store)
        await project(store, delivery("a2", OPEN, text="newer"))
        assert await send_all(store) == [(UPDATE_ROOT, ROOT_SLOT, "newer")]

    async def test_a_projected_key_that_was_used_gets_a_new_one(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("a1", OPEN))
        await send_all(store)
        for text in ("one", "two", "three"):
            await project(store, delivery("a1", UPDATE_ROOT, text=text))
            pending = await due(store)
            assert [p.delivery.message.title for p in pending] == [text]
            assert pending[0].delivery.key != "a1"
            await sent(store, pending[0])

    async def test_a_settled_card_is_not_updated_any_more(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("r", OPEN), delivery("c1", POST, slot=CARD, text="may I?"))
        await send_all(store)
        await project(store, delivery("c2", UPDATE, slot=CARD, text="one of two"))
        await project(store, delivery("c3", SETTLE, slot=CARD, text="approved"))
        await project(store, delivery("c4", UPDATE, slot=CARD, text="late"))
        assert await send_all(store) == [(SETTLE, CARD, "approved")]
        await project(store, delivery("c5", UPDATE, slot=CARD, text="later"))
        await project(store, delivery("c6", SETTLE, slot=CARD, text="approved"))
        assert await send_all(store) == []
        await project(store, delivery("c7", SETTLE, slot=CARD, text="approved and done"))
        assert await send_all(store) == [(SETTLE, CARD, "approved and done")]

    async def test_a_card_decided_before_it_was_posted_is_posted_as_decided_and_settled(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident())
        await put(store, delivery("r", OPEN), delivery("c1", POST, slot=CARD, text="may I?"))
        await project(store, delivery("c2", SETTLE, slot=CARD, text="expired"))
        assert await send_all(store) == [
            (OPEN, ROOT_SLOT, "hello"),
            (POST, CARD, "expired"),
            (SETTLE, CARD, "expired"),
        ]

    async def test_nothing_follows_the_settling_of_a_card_decided_while_it_was_being_posted(
        self, store: AnyStore
    ) -> None:
        await add_incident(store, incident())
        await put(store, delivery("r", OPEN), delivery("c1", POST, slot=CARD, text="may I?"))
        await sent(store, (await due(store))[0], "$root")
        posting = (await due(store))[0]
        await project(store, delivery("c2", SETTLE, slot=CARD, text="expired"))
        await sent(store, posting, "$card")
        assert await send_all(store) == [(SETTLE, CARD, "expired")]

    async def test_settling_with_the_same_words_still_settles(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        await put(store, delivery("r", OPEN), delivery("c1", POST, slot=CARD, text="same"))
        await send_all(store)
        await project(store, delivery("c2", SETTLE, slot=CARD, text="same"))
        assert await send_all(store) == [(SETTLE, CARD, "same")]

    async def test_only_editable_slots_can_be_projected(self, store: AnyStore) -> None:
        await add_incident(store, incident())
        for wrong in (delivery("a1"), delivery("a1", UPDATE_ROOT, number=None)):
            with pytest.raises(ValueError, match="only an incident's root and cards"):
                await project(store, wrong)
