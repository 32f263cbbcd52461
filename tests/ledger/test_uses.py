"""What bytes runs used and left, in every ledger."""

import pytest

from nbprod.digest import digest_bytes
from nbprod.ledger import RunQuery, open_ledger
from nbprod.ledger.audit import audit
from nbprod.ledger.transfer import take_over
from nbprod.ledger.uses import AskedUses, RunUse
from nbprod.record.uses import Use, path_key

DATA, MODEL = digest_bytes(b"data"), digest_bytes(b"model")


def told_uses(told):
    first, second = told.start(), told.start()
    made = Use(role="made", digest=MODEL, name="model.bin")
    read = Use(role="read", digest=DATA, name=path_key("data.csv"))
    given = Use(role="given", digest=MODEL, name="model.bin", run=first)
    told.finish(first, uses=(read, made, made))
    told.finish(second, uses=(given, read))
    return first, second, made, read, given


def test_uses_are_found_by_run_by_bytes_by_name_and_by_giver(told):
    first, second, made, read, given = told_uses(told)

    def ask(**asked):
        return [(each.run_id, each.use) for each in told.ledger.uses(AskedUses(**asked))]

    assert ask(runs=(first,)) == [(first, made), (first, read)]
    assert ask(digests=(MODEL,)) == [(second, given), (first, made)]
    assert ask(digests=(MODEL,), roles=("made",)) == [(first, made)]
    assert ask(beginning=MODEL.hex[:6]) == ask(beginning=MODEL.hex) == ask(digests=(MODEL,))
    assert ask(beginning=MODEL.hex[:5] + "g") == ask(beginning="") == []
    assert ask(names=(path_key("data.csv"),)) == [(second, read), (first, read)]
    assert ask(names=(path_key("data.csv"),), limit=1) == [(second, read)]
    assert ask(given_by=(first,)) == [(second, given)]
    assert ask(given_by=(second,)) == ask() == []
    assert told.ledger.without_uses() == 0
    told.finish(told.start())
    told.start()
    assert told.ledger.without_uses() == 1  # the one that goes on will tell yet


def test_runs_are_found_by_who_answered_and_by_what_they_tried_again(told):
    first = told.finish(told.start())
    again = told.start(retry_of=first)
    told.finish(again, of=first)
    assert [row.run_id for row in told.ledger.runs(RunQuery(of=first))] == [again]
    assert [row.run_id for row in told.ledger.runs(RunQuery(retry_of=first))] == [again]
    assert list(told.ledger.runs(RunQuery(of=again))) == []


def test_uses_go_along_with_the_events_and_are_audited(told, tmp_path):
    first, *_ = told_uses(told)
    assert audit(told.ledger).faults == []
    copy = open_ledger(str(tmp_path / "copy.db"))
    take_over(copy, told.ledger.events())
    everything = AskedUses(digests=(DATA, MODEL))
    assert copy.uses(everything) == told.ledger.uses(everything)
    assert RunUse(run_id=first, use=Use(role="made", digest=MODEL, name="model.bin")) in copy.uses(everything)
    copy.close()
    if told.ledger.url.startswith("memory"):
        return
    told.ledger._connections.write(lambda connection: connection.exec_driver_sql("DELETE FROM run_uses"))
    assert [fault.endswith("run_uses") for fault in audit(told.ledger).faults] == [True, True]


@pytest.mark.parametrize("text", ["data.csv", "a/b", "ü\udce9"])
def test_a_path_has_a_key_that_does_not_tell_it(text):
    assert path_key(text).startswith("#")
    assert len(path_key(text)) == 17
    assert path_key(text) == path_key(text) != path_key(text + "x")
