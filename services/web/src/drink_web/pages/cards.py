"""The machines with their slots as HTML, shared by all browsers that show the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from drink.v1 import item_service_pb2 as items
from drink.v1 import machine_service_pb2 as machines
from drink_web import views
from drink_web.curves import Curve
from drink_web.visit import Visit

SEARCH_MAX = 64
"""Characters of the longest text that is searched for: as many as the longest name of an item."""

_TILES, _SPARK = "\x00tiles\x00", "\x00spark\x00"
"""Where tiles and temperatures are put into a drawn machine; no name has such characters."""

_SHORT = "\x00short\x00"
"""Where the credits that somebody lacks are put into a drawn tile."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see of the machines, and can pay.

    Attributes:
        favourites: Resource names of items and slots, in the person's order.
        search: Part of the wanted items' names; empty for all items.
        credits: That can be spent; None if that is not known.
    """

    favourites: Sequence[str] = ()
    search: str = ""
    credits: int | None = None

    def lacks(self, tile: views.Tile) -> int:
        """Credits that are missing for what could be bought there; 0 if none are known to be."""
        if self.credits is None or not tile.can_drop:
            return 0
        return max(0, tile.slot.price - self.credits)


@dataclass(slots=True)
class Card:
    """One machine in one language, for visitors or for members.

    Attributes:
        machine: Of the API, as it is drawn.
        is_current: Whether it is drawn as one whose frontend answers.
        pictures: The pictures of all items, as they are drawn.
        curve: Its temperatures, as they are drawn; None for none.
        view: For the templates.
        frame: The HTML around the tiles and the temperatures.
        spark: The HTML of its temperatures.
        tiles: The HTML of tiles by their slot and by how they are drawn.
    """

    machine: machines.Machine
    is_current: bool
    pictures: Mapping[str, items.Picture]
    curve: Curve | None
    view: views.MachineView
    frame: str
    spark: str
    tiles: dict[tuple[str, bool, bool, bool], str] = field(default_factory=dict)


class MachineCards:
    """Draws machines, each once for each language and for visitors and members.

    A page is drawn and a change told to a thousand browsers for the price of one. What differs is
    filled in: the name of the drawn page in the buttons, the favourites, what is searched for.
    """

    def __init__(self) -> None:
        self._placeholder = views.new_page()
        self._cards: dict[tuple[str, str, bool], Card] = {}

    def present(self, visit: Visit) -> Mapping[str, Card]:
        """Each machine's card by its name: the same object as before, unless it has changed."""
        house = visit.site.house
        pictures = house.pictures.known
        found = {}
        for name, machine in house.machines.items():
            key = (name, visit.texts.language, visit.login is not None)
            card, curve = self._cards.get(key), house.sparks.known.get(name)
            if (
                card is None
                or card.machine is not machine
                or card.is_current != house.is_current
                or card.pictures is not pictures
                or card.curve is not curve
            ):
                current = house.is_current
                view = views.machine_view(machine, is_current=current)
                frame = visit.render(
                    "_machine.html", view=view, current=current, tiles=_TILES, spark=_SPARK
                )
                drawn = self._spark(visit, view)
                card = Card(machine, current, pictures, curve, view, frame, drawn)
                self._cards[key] = card
            found[name] = card
        return found

    def machine(self, visit: Visit, card: Card, page: str, wish: Wish) -> str:
        """One machine's HTML; empty if it sells nothing of what is searched for.

        Args:
            visit: For whom.
            card: The machine.
            page: Names the drawn page.
            wish: What is shown.
        """
        shown = [tile for tile in card.view.tiles if wish.search in tile.slot.item.casefold()]
        if wish.search and not shown:
            return ""
        tiles = (self._tile(visit, card, tile, wish) for tile in shown)
        html = card.frame.replace(_TILES, "".join(tiles)).replace(_SPARK, card.spark)
        return self._named(html, page)

    def changes(
        self, visit: Visit, before: Card, card: Card, page: str, wish: Wish
    ) -> Sequence[tuple[str, str]]:
        """What is to be replaced on a page that shows a machine as it was before.

        Args:
            visit: For whom.
            before: The machine as it is shown.
            card: The machine as it is now.
            page: Names the drawn page.
            wish: What is shown.

        Returns:
            The id and the new HTML of each element: of tiles, if nothing else has changed.
        """
        old, new = before.view.tiles, card.view.tiles
        if before.frame != card.frame or [tile.id for tile in old] != [tile.id for tile in new]:
            return [(f"machine-{card.view.id}", self.machine(visit, card, page, wish))]
        found = []
        if before.spark != card.spark:
            found.append((f"spark-{card.view.id}", card.spark))
        for was, tile in zip(old, new, strict=True):
            html = self._tile(visit, card, tile, wish)
            if html != self._tile(visit, before, was, wish):
                found.append((f"tile-{tile.id}", self._named(html, page)))
        return found

    def favourites(self, visit: Visit, cards: Mapping[str, Card], page: str, wish: Wish) -> str:
        """The tiles of the favourites that there are, in the person's order."""
        tiles = (
            self._tile(visit, card, tile, wish, apart=True)
            for card, tile in _favourites(cards.values(), wish.favourites)
        )
        return self._named("".join(tiles), page)

    def _tile(
        self, visit: Visit, card: Card, tile: views.Tile, wish: Wish, *, apart: bool = False
    ) -> str:
        """The HTML of one slot.

        Args:
            visit: For whom.
            card: The slot's machine.
            tile: The slot.
            wish: What is shown.
            apart: Whether it is shown without its machine, so that it has to name it.
        """
        starred, lacks = tile.is_favourite(wish.favourites), wish.lacks(tile)
        key = (tile.number, starred, apart, lacks > 0)
        html = card.tiles.get(key)
        if html is None:
            html = card.tiles[key] = visit.render(
                "_tile.html",
                view=card.view,
                tile=tile,
                page=self._placeholder,
                picture=card.pictures.get(tile.slot.sold_item),
                starred=starred,
                apart=apart,
                short=_SHORT if lacks else "",
            )
        return html.replace(_SHORT, str(lacks)) if lacks else html

    @staticmethod
    def _spark(visit: Visit, view: views.MachineView) -> str:
        """The HTML of a machine's temperatures."""
        curve = visit.site.house.sparks.known.get(view.machine.name)
        return visit.render("_spark.html", id=f"spark-{view.id}", curve=curve)

    def _named(self, html: str, page: str) -> str:
        return html.replace(self._placeholder, page)


def _favourites(cards: Iterable[Card], names: Sequence[str]) -> Iterator[tuple[Card, views.Tile]]:
    """The slots that are favourites or sell one, each once, in the order of the names."""
    places = {name: place for place, name in enumerate(reversed(names))}
    found = [
        (max(place for name, place in places.items() if name in tile.names), card, tile)
        for card in cards
        for tile in card.view.tiles
        if tile.is_favourite(names)
    ]
    found.sort(key=lambda each: -each[0])
    for _, card, tile in found:
        yield card, tile


def search_of(text: str) -> str:
    """What is searched for by the text that somebody typed."""
    return text.strip()[:SEARCH_MAX].casefold()
