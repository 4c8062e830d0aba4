from drink.v1 import machine_service_pb2 as pb
from drink_web.rest.shapes import OWN_ITEMS, machine_shape, number_of, own_items, sold_shape


def test_numbers_stay_and_are_exact_in_scripts() -> None:
    # Clients keep them: another one after an upgrade would be another machine.
    assert number_of("machines/d") == 264_383_831_398_812
    numbers = {number_of("item", f"item {each}", "5") for each in range(2_000)}
    assert len(numbers) == 2_000
    assert max(numbers) < 2**48
    assert number_of("item", "a", "15") != number_of("item", "a1", "5")


def test_a_machine_out_of_service_is_not_online() -> None:
    ready = pb.Machine.REACH_READY
    assert machine_shape(pb.Machine(name="machines/d", enabled=True, reach=ready))["is_online"]
    off = machine_shape(pb.Machine(name="machines/d", enabled=False, reach=ready))
    assert off["is_online"] is False
    assert off["display_name"] == "d"


def test_an_item_at_two_prices_is_two() -> None:
    slots = [
        pb.Slot(name=f"machines/d/slots/{number}", item="Coke", price=price)
        for number, price in ((1, 50), (2, 60), (3, 50))
    ]
    items = own_items([pb.Machine(name="machines/d", slots=slots)])
    assert [(item["name"], item["price"]) for item in items] == [("Coke", 50), ("Coke", 60)]


def test_an_item_of_the_list_has_its_number_and_is_no_own_one() -> None:
    slot = pb.Slot(name="machines/d/slots/1", item="Coke", price=50, sold_item="items/7")
    assert sold_shape(slot) == {"id": 7, "name": "Coke", "price": 50}
    assert own_items([pb.Machine(name="machines/d", slots=[slot])]) == []
    slot.sold_item = ""
    assert OWN_ITEMS <= sold_shape(slot)["id"] < 2 * OWN_ITEMS
