package plan

import (
	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
)

// Learning says whether a policy is learned of a network, and whether of the endpoint.
type Learning struct{ Network, Own bool }

// learning says whether a policy is learned of a network, or of one container: of that also where
// it is of its network.
func learning(s *model.State, n *model.Network, e *model.Endpoint) bool {
	return s.Learning[model.Learner{NetworkID: n.ID}] || e != nil && s.Learning[model.Learner{NetworkID: n.ID, EndpointID: e.ID}]
}

// taught is what counts while a policy is learned: nothing is refused, and of all that begins the
// kernel tells as of what would be. What is open between networks stays as it is.
func taught(learns bool, texts config.Policy) config.Policy {
	if !learns {
		return texts
	}
	return config.Policy{
		Egress: config.EgressDeny, Allow: config.None, Deny: config.None, Ingress: config.None, Host: config.None, Mode: config.ModeLearn,
	}
}

// learners are the owners whose plans follow from that a policy is learned of somebody.
func learners(s *model.State, of model.Learner) []Owner {
	if of.EndpointID != "" {
		return []Owner{{OfEndpoint, of.NetworkID, of.EndpointID}}
	}
	all := []Owner{{OfNetwork, of.NetworkID, of.NetworkID}}
	for id := range s.Members[of.NetworkID] {
		all = append(all, Owner{OfEndpoint, of.NetworkID, id})
	}
	return all
}
