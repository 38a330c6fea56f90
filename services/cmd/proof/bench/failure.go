package main

// failure carries an error from check to attempt. Nothing can be measured after an
// error, so every error ends the run, by way of the deferred functions.
type failure struct{ error }

// check ends the run if err is not nil. It must run in the goroutine of attempt.
func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// must returns the value, or ends the run.
func must[T any](value T, err error) T {
	check(err)
	return value
}

// attempt returns the error that ended the function.
func attempt(do func()) (err error) {
	defer func() {
		switch ended := recover().(type) {
		case nil:
		case failure:
			err = ended.error
		default:
			panic(ended)
		}
	}()
	do()
	return nil
}
