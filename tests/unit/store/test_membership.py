"""What a process concludes about itself and others from heartbeats."""

from latehook.store.membership import BEATS, FRESH, Membership, Node

LEASE = 10.0


def joined(at: float = 0.0) -> Membership:
    membership = Membership(LEASE)
    assert not membership.is_fresh(at)
    membership.joined(7, at)
    return membership


def beat(membership: Membership, at: float, left: float = LEASE, me: int = 7) -> bool:
    """Beat at a time, at which another process has a lease for `left` seconds."""
    return membership.beaten([Node(me, LEASE, 0), Node(8, left, 0)], at)


def test_a_process_is_fresh_for_a_part_of_its_lease_after_it_sent_its_last_heartbeat() -> None:
    membership = joined()
    assert membership.is_fresh(FRESH * LEASE - 0.1) and not membership.is_fresh(FRESH * LEASE)

    assert beat(membership, 5.0)
    assert membership.is_fresh(5.0 + FRESH * LEASE - 0.1) and not membership.is_fresh(5.0 + FRESH * LEASE)
    assert BEATS * membership.wait == LEASE
    assert not membership.is_fresh(5.0 + membership.wait + membership.timeout)

    assert not beat(membership, 6.0, me=9)
    assert (membership.epoch, membership.is_fresh(6.0), membership.others) == (None, False, ())


def test_only_a_process_that_has_watched_for_a_whole_lease_declares_others_dead() -> None:
    membership = joined()
    for at in range(1, 10):
        beat(membership, at, -1.0)
        assert membership.dead(at) == []
    beat(membership, 10.0, -1.0)
    assert membership.dead(10.0) == [8]
    beat(membership, 11.0, 0.5)
    assert membership.dead(11.0) == []


def test_after_a_pause_of_all_none_is_declared_dead_before_it_could_renew_its_lease() -> None:
    membership = joined()
    for at in range(1, 20):
        beat(membership, at)
    assert membership.dead(1000.0) == []  # it does not trust what it has seen before the pause

    beat(membership, 1000.0, -1.0)
    assert membership.is_fresh(1000.0) and membership.dead(1000.0) == []
    beat(membership, 1008.0, -1.0)  # more than the part of the lease that it trusts: it watches anew
    beat(membership, 1012.0, -1.0)
    assert membership.dead(1012.0) == []
    beat(membership, 1018.0, -1.0)
    assert membership.dead(1018.0) == [8]


def test_others_are_company_once_they_have_renewed_a_lease_or_joined() -> None:
    """The rows of processes that have crashed just before are there too, and their leases only run out."""
    membership = joined()
    for at in range(1, 6):
        beat(membership, at, left=LEASE - at)
        assert not membership.has_company
    beat(membership, 6.0, left=LEASE)
    beat(membership, 7.0, left=LEASE - 1)
    assert membership.has_company
    membership.beaten([Node(7, LEASE, 0)], 8.0)
    assert not membership.has_company
    membership.beaten([Node(7, LEASE, 0), Node(9, LEASE, 0)], 9.0)
    assert membership.has_company
