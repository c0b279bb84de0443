import pickle

from ingestion.errors import Permanent, Transient


def test_an_error_is_one_line_with_what_where_and_next():
    error = Permanent("the table\n is missing.", where="shop.orders", todo="create it")
    assert str(error) == "the table is missing (shop.orders). Next: create it"
    assert str(Transient("no answer")) == "no answer"
    assert str(Permanent("no table x; did you mean y?", todo="name it")) == "no table x; did you mean y? Next: name it"


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(Transient("no answer", where="host", todo="wait")))
    assert type(error) is Transient
    assert str(error) == "no answer (host). Next: wait"
