package names

import "github.com/sirupsen/logrus"

// Hook puts names into the lines of a log: into the text, as Text does, and as fields
// beside those of the ids: network beside net, container beside ep.
type Hook struct{ Book *Book }

// Levels returns all levels.
func (Hook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire changes the line; logrus hands each hook a copy of its own.
func (h Hook) Fire(e *logrus.Entry) error {
	e.Message = h.Book.Text(e.Message)
	for name, value := range e.Data {
		if err, ok := value.(error); ok {
			e.Data[name] = h.Book.Text(err.Error())
		}
	}
	if id, ok := e.Data["net"].(string); ok {
		if n, known := h.Book.network(short(id), true); known {
			e.Data["network"] = n.Name
		}
	}
	if id, ok := e.Data["ep"].(string); ok {
		if p, known := h.Book.place(short(id), true); known {
			e.Data["container"] = p.Container.Name
		}
	}
	return nil
}
