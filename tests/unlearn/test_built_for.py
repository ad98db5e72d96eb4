import pytest

import graphrec
from graphrec import unlearn


def test_a_model_of_other_edges_is_refused(learned):
    edited = learned.edited.data
    with pytest.raises(graphrec.GraphError, match='other training edges'):
        unlearn.forget(learned.model, edited, unlearn.RemoveUsers([3]), 'edit_only')
    with pytest.raises(graphrec.GraphError, match="'gold' was built for other"):
        unlearn.audit(
            learned.model, learned.model, learned.model, data=learned.data, edit=learned.edit
        )
    other = graphrec.models.LightGCN.from_graph(edited, dim=4)
    result = unlearn.forget(other, edited, unlearn.RemoveUsers([3]), 'edit_only')
    assert result.model.training_digest == other.data_digest(result.data)
