graph [
  node [
    id 0
    label "Myriel"
  ]
  node [
    id 1
    label "Napoleon"
  ]
  node [
    id 2
    label "MlleBaptistine"
  ]
  node [
    id 3
    label "MmeMagloire"
  ]
  node [
    id 4
    label "CountessDeLo"
  ]
  node [
    id 5
    label "Geborand"
  ]
  node [
    id 6
    label "Champtercier"
  ]
  node [
    id 7
    label "Cravatte"
  ]
  node [
    id 8
    label "Count"
  ]
  node [
    id 9
    label "OldMan"
  ]
  node [
    id 10
    label "Labarre"
  ]
  node [
    id 11
    label "Valjean"
  ]
  node [
    id 12
    label "Marguerite"
  ]
  node [
    id 13
    label "MmeDeR"
  ]
  node [
    id 14
    label "Isabeau"
  ]
  node [
    id 15
    label "Gervais"
  ]
  node [
    id 16
    label "Tholomyes"
  ]
  node [
    id 17
    label "Listolier"
  ]
  node [
    id 18
    label "Fameuil"
  ]
  node [
    id 19
    label "Blacheville"
  ]
  node [
    id 20
    label "Favourite"
  ]
  node [
    id 21
    label "Dahlia"
  ]
  node [
    id 22
    label "Zephine"
  ]
  node [
    id 23
    label "Fantine"
  ]
  node [
    id 24
    label "MmeThenardier"
  ]
  node [
    id 25
    label "Thenardier"
  ]
  node [
    id 26
    label "Cosette"
  ]
  node [
    id 27
    label "Javert"
  ]
  node [
    id 28
    label "Fauchelevent"
  ]
  node [
    id 29
    label "Bamatabois"
  ]
  node [
    id 30
    label "Perpetue"
  ]
  node [
    id 31
    label "Simplice"
  ]
  node [
    id 32
    label "Scaufflaire"
  ]
  node [
    id 33
    label "Woman1"
  ]
  node [
    id 34
    label "Judge"
  ]
  node [
    id 35
    label "Champmathieu"
  ]
  node [
    id 36
    label "Brevet"
  ]
  node [
    id 37
    label "Chenildieu"
  ]
  node [
    id 38
    label "Cochepaille"
  ]
  node [
    id 39
    label "Pontmercy"
  ]
  node [
    id 40
    label "Boulatruelle"
  ]
  node [
    id 41
    label "Eponine"
  ]
  node [
    id 42
    label "Anzelma"
  ]
  node [
    id 43
    label "Woman2"
  ]
  node [
    id 44
    label "MotherInnocent"
  ]
  node [
    id 45
    label "Gribier"
  ]
  node [
    id 46
    label "Jondrette"
  ]
  node [
    id 47
    label "MmeBurgon"
  ]
  node [
    id 48
    label "Gavroche"
  ]
  node [
    id 49
    label "Gillenormand"
  ]
  node [
    id 50
    label "Magnon"
  ]
  node [
    id 51
    label "MlleGillenormand"
  ]
  node [
    id 52
    label "MmePontmercy"
  ]
  node [
    id 53
    label "MlleVaubois"
  ]
  node [
    id 54
    label "LtGillenormand"
  ]
  node [
    id 55
    label "Marius"
  ]
  node [
    id 56
    label "BaronessT"
  ]
  node [
    id 57
    label "Mabeuf"
  ]
  node [
    id 58
    label "Enjolras"
  ]
  node [
    id 59
    label "Combeferre"
  ]
  node [
    id 60
    label "Prouvaire"
  ]
  node [
    id 61
    label "Feuilly"
  ]
  node [
    id 62
    label "Courfeyrac"
  ]
  node [
    id 63
    label "Bahorel"
  ]
  node [
    id 64
    label "Bossuet"
  ]
  node [
    id 65
    label "Joly"
  ]
  node [
    id 66
    label "Grantaire"
  ]
  node [
    id 67
    label "MotherPlutarch"
  ]
  node [
    id 68
    label "Gueulemer"
  ]
  node [
    id 69
    label "Babet"
  ]
  node [
    id 70
    label "Claquesous"
  ]
  node [
    id 71
    label "Montparnasse"
  ]
  node [
    id 72
    label "Toussaint"
  ]
  node [
    id 73
    label "Child1"
  ]
  node [
    id 74
    label "Child2"
  ]
  node [
    id 75
    label "Brujon"
  ]
  node [
    id 76
    label "MmeHucheloup"
  ]
  edge [
    source 0
    target 1
    scenes 1
  ]
  edge [
    source 0
    target 2
    scenes 8
  ]
  edge [
    source 0
    target 3
    scenes 10
  ]
  edge [
    source 0
    target 4
    scenes 1
  ]
  edge [
    source 0
    target 5
    scenes 1
  ]
  edge [
    source 0
    target 6
    scenes 1
  ]
  edge [
    source 0
    target 7
    scenes 1
  ]
  edge [
    source 0
    target 8
    scenes 2
  ]
  edge [
    source 0
    target 9
    scenes 1
  ]
  edge [
    source 0
    target 11
    scenes 5
  ]
  edge [
    source 2
    target 3
    scenes 6
  ]
  edge [
    source 2
    target 11
    scenes 3
  ]
  edge [
    source 3
    target 11
    scenes 3
  ]
  edge [
    source 10
    target 11
    scenes 1
  ]
  edge [
    source 11
    target 12
    scenes 1
  ]
  edge [
    source 11
    target 13
    scenes 1
  ]
  edge [
    source 11
    target 14
    scenes 1
  ]
  edge [
    source 11
    target 15
    scenes 1
  ]
  edge [
    source 11
    target 23
    scenes 9
  ]
  edge [
    source 11
    target 24
    scenes 7
  ]
  edge [
    source 11
    target 25
    scenes 12
  ]
  edge [
    source 11
    target 26
    scenes 31
  ]
  edge [
    source 11
    target 27
    scenes 17
  ]
  edge [
    source 11
    target 28
    scenes 8
  ]
  edge [
    source 11
    target 29
    scenes 2
  ]
  edge [
    source 11
    target 31
    scenes 3
  ]
  edge [
    source 11
    target 32
    scenes 1
  ]
  edge [
    source 11
    target 33
    scenes 2
  ]
  edge [
    source 11
    target 34
    scenes 3
  ]
  edge [
    source 11
    target 35
    scenes 3
  ]
  edge [
    source 11
    target 36
    scenes 2
  ]
  edge [
    source 11
    target 37
    scenes 2
  ]
  edge [
    source 11
    target 38
    scenes 2
  ]
  edge [
    source 11
    target 43
    scenes 3
  ]
  edge [
    source 11
    target 44
    scenes 1
  ]
  edge [
    source 11
    target 48
    scenes 1
  ]
  edge [
    source 11
    target 49
    scenes 2
  ]
  edge [
    source 11
    target 51
    scenes 2
  ]
  edge [
    source 11
    target 55
    scenes 19
  ]
  edge [
    source 11
    target 58
    scenes 4
  ]
  edge [
    source 11
    target 64
    scenes 1
  ]
  edge [
    source 11
    target 68
    scenes 1
  ]
  edge [
    source 11
    target 69
    scenes 1
  ]
  edge [
    source 11
    target 70
    scenes 1
  ]
  edge [
    source 11
    target 71
    scenes 1
  ]
  edge [
    source 11
    target 72
    scenes 1
  ]
  edge [
    source 12
    target 23
    scenes 2
  ]
  edge [
    source 16
    target 17
    scenes 4
  ]
  edge [
    source 16
    target 18
    scenes 4
  ]
  edge [
    source 16
    target 19
    scenes 4
  ]
  edge [
    source 16
    target 20
    scenes 3
  ]
  edge [
    source 16
    target 21
    scenes 3
  ]
  edge [
    source 16
    target 22
    scenes 3
  ]
  edge [
    source 16
    target 23
    scenes 3
  ]
  edge [
    source 16
    target 26
    scenes 1
  ]
  edge [
    source 16
    target 55
    scenes 1
  ]
  edge [
    source 17
    target 18
    scenes 4
  ]
  edge [
    source 17
    target 19
    scenes 4
  ]
  edge [
    source 17
    target 20
    scenes 3
  ]
  edge [
    source 17
    target 21
    scenes 3
  ]
  edge [
    source 17
    target 22
    scenes 3
  ]
  edge [
    source 17
    target 23
    scenes 3
  ]
  edge [
    source 18
    target 19
    scenes 4
  ]
  edge [
    source 18
    target 20
    scenes 3
  ]
  edge [
    source 18
    target 21
    scenes 3
  ]
  edge [
    source 18
    target 22
    scenes 3
  ]
  edge [
    source 18
    target 23
    scenes 3
  ]
  edge [
    source 19
    target 20
    scenes 4
  ]
  edge [
    source 19
    target 21
    scenes 3
  ]
  edge [
    source 19
    target 22
    scenes 3
  ]
  edge [
    source 19
    target 23
    scenes 3
  ]
  edge [
    source 20
    target 21
    scenes 5
  ]
  edge [
    source 20
    target 22
    scenes 4
  ]
  edge [
    source 20
    target 23
    scenes 4
  ]
  edge [
    source 21
    target 22
    scenes 4
  ]
  edge [
    source 21
    target 23
    scenes 4
  ]
  edge [
    source 22
    target 23
    scenes 4
  ]
  edge [
    source 23
    target 24
    scenes 2
  ]
  edge [
    source 23
    target 25
    scenes 1
  ]
  edge [
    source 23
    target 27
    scenes 5
  ]
  edge [
    source 23
    target 29
    scenes 1
  ]
  edge [
    source 23
    target 30
    scenes 1
  ]
  edge [
    source 23
    target 31
    scenes 2
  ]
  edge [
    source 24
    target 25
    scenes 13
  ]
  edge [
    source 24
    target 26
    scenes 4
  ]
  edge [
    source 24
    target 27
    scenes 1
  ]
  edge [
    source 24
    target 41
    scenes 2
  ]
  edge [
    source 24
    target 42
    scenes 1
  ]
  edge [
    source 24
    target 50
    scenes 1
  ]
  edge [
    source 24
    target 68
    scenes 1
  ]
  edge [
    source 24
    target 69
    scenes 1
  ]
  edge [
    source 24
    target 70
    scenes 1
  ]
  edge [
    source 25
    target 26
    scenes 1
  ]
  edge [
    source 25
    target 27
    scenes 5
  ]
  edge [
    source 25
    target 39
    scenes 1
  ]
  edge [
    source 25
    target 40
    scenes 1
  ]
  edge [
    source 25
    target 41
    scenes 3
  ]
  edge [
    source 25
    target 42
    scenes 2
  ]
  edge [
    source 25
    target 48
    scenes 1
  ]
  edge [
    source 25
    target 55
    scenes 2
  ]
  edge [
    source 25
    target 68
    scenes 5
  ]
  edge [
    source 25
    target 69
    scenes 6
  ]
  edge [
    source 25
    target 70
    scenes 4
  ]
  edge [
    source 25
    target 71
    scenes 1
  ]
  edge [
    source 25
    target 75
    scenes 3
  ]
  edge [
    source 26
    target 27
    scenes 1
  ]
  edge [
    source 26
    target 43
    scenes 1
  ]
  edge [
    source 26
    target 49
    scenes 3
  ]
  edge [
    source 26
    target 51
    scenes 2
  ]
  edge [
    source 26
    target 54
    scenes 1
  ]
  edge [
    source 26
    target 55
    scenes 21
  ]
  edge [
    source 26
    target 72
    scenes 2
  ]
  edge [
    source 27
    target 28
    scenes 1
  ]
  edge [
    source 27
    target 29
    scenes 1
  ]
  edge [
    source 27
    target 31
    scenes 1
  ]
  edge [
    source 27
    target 33
    scenes 1
  ]
  edge [
    source 27
    target 43
    scenes 1
  ]
  edge [
    source 27
    target 48
    scenes 1
  ]
  edge [
    source 27
    target 58
    scenes 6
  ]
  edge [
    source 27
    target 68
    scenes 1
  ]
  edge [
    source 27
    target 69
    scenes 2
  ]
  edge [
    source 27
    target 70
    scenes 1
  ]
  edge [
    source 27
    target 71
    scenes 1
  ]
  edge [
    source 27
    target 72
    scenes 1
  ]
  edge [
    source 28
    target 44
    scenes 3
  ]
  edge [
    source 28
    target 45
    scenes 2
  ]
  edge [
    source 29
    target 34
    scenes 2
  ]
  edge [
    source 29
    target 35
    scenes 2
  ]
  edge [
    source 29
    target 36
    scenes 1
  ]
  edge [
    source 29
    target 37
    scenes 1
  ]
  edge [
    source 29
    target 38
    scenes 1
  ]
  edge [
    source 30
    target 31
    scenes 2
  ]
  edge [
    source 34
    target 35
    scenes 3
  ]
  edge [
    source 34
    target 36
    scenes 2
  ]
  edge [
    source 34
    target 37
    scenes 2
  ]
  edge [
    source 34
    target 38
    scenes 2
  ]
  edge [
    source 35
    target 36
    scenes 2
  ]
  edge [
    source 35
    target 37
    scenes 2
  ]
  edge [
    source 35
    target 38
    scenes 2
  ]
  edge [
    source 36
    target 37
    scenes 2
  ]
  edge [
    source 36
    target 38
    scenes 2
  ]
  edge [
    source 37
    target 38
    scenes 2
  ]
  edge [
    source 39
    target 52
    scenes 1
  ]
  edge [
    source 39
    target 55
    scenes 1
  ]
  edge [
    source 41
    target 42
    scenes 2
  ]
  edge [
    source 41
    target 55
    scenes 5
  ]
  edge [
    source 41
    target 57
    scenes 1
  ]
  edge [
    source 41
    target 62
    scenes 1
  ]
  edge [
    source 41
    target 68
    scenes 1
  ]
  edge [
    source 41
    target 69
    scenes 1
  ]
  edge [
    source 41
    target 70
    scenes 1
  ]
  edge [
    source 41
    target 71
    scenes 1
  ]
  edge [
    source 41
    target 75
    scenes 1
  ]
  edge [
    source 46
    target 47
    scenes 1
  ]
  edge [
    source 47
    target 48
    scenes 2
  ]
  edge [
    source 48
    target 55
    scenes 4
  ]
  edge [
    source 48
    target 57
    scenes 1
  ]
  edge [
    source 48
    target 58
    scenes 7
  ]
  edge [
    source 48
    target 59
    scenes 6
  ]
  edge [
    source 48
    target 60
    scenes 1
  ]
  edge [
    source 48
    target 61
    scenes 2
  ]
  edge [
    source 48
    target 62
    scenes 7
  ]
  edge [
    source 48
    target 63
    scenes 5
  ]
  edge [
    source 48
    target 64
    scenes 5
  ]
  edge [
    source 48
    target 65
    scenes 3
  ]
  edge [
    source 48
    target 66
    scenes 1
  ]
  edge [
    source 48
    target 68
    scenes 1
  ]
  edge [
    source 48
    target 69
    scenes 1
  ]
  edge [
    source 48
    target 71
    scenes 1
  ]
  edge [
    source 48
    target 73
    scenes 2
  ]
  edge [
    source 48
    target 74
    scenes 2
  ]
  edge [
    source 48
    target 75
    scenes 1
  ]
  edge [
    source 48
    target 76
    scenes 1
  ]
  edge [
    source 49
    target 50
    scenes 1
  ]
  edge [
    source 49
    target 51
    scenes 9
  ]
  edge [
    source 49
    target 54
    scenes 1
  ]
  edge [
    source 49
    target 55
    scenes 12
  ]
  edge [
    source 49
    target 56
    scenes 1
  ]
  edge [
    source 51
    target 52
    scenes 1
  ]
  edge [
    source 51
    target 53
    scenes 1
  ]
  edge [
    source 51
    target 54
    scenes 2
  ]
  edge [
    source 51
    target 55
    scenes 6
  ]
  edge [
    source 54
    target 55
    scenes 1
  ]
  edge [
    source 55
    target 56
    scenes 1
  ]
  edge [
    source 55
    target 57
    scenes 1
  ]
  edge [
    source 55
    target 58
    scenes 7
  ]
  edge [
    source 55
    target 59
    scenes 5
  ]
  edge [
    source 55
    target 61
    scenes 1
  ]
  edge [
    source 55
    target 62
    scenes 9
  ]
  edge [
    source 55
    target 63
    scenes 1
  ]
  edge [
    source 55
    target 64
    scenes 5
  ]
  edge [
    source 55
    target 65
    scenes 2
  ]
  edge [
    source 57
    target 58
    scenes 1
  ]
  edge [
    source 57
    target 59
    scenes 2
  ]
  edge [
    source 57
    target 61
    scenes 1
  ]
  edge [
    source 57
    target 62
    scenes 2
  ]
  edge [
    source 57
    target 63
    scenes 2
  ]
  edge [
    source 57
    target 64
    scenes 1
  ]
  edge [
    source 57
    target 65
    scenes 1
  ]
  edge [
    source 57
    target 67
    scenes 3
  ]
  edge [
    source 58
    target 59
    scenes 15
  ]
  edge [
    source 58
    target 60
    scenes 4
  ]
  edge [
    source 58
    target 61
    scenes 6
  ]
  edge [
    source 58
    target 62
    scenes 17
  ]
  edge [
    source 58
    target 63
    scenes 4
  ]
  edge [
    source 58
    target 64
    scenes 10
  ]
  edge [
    source 58
    target 65
    scenes 5
  ]
  edge [
    source 58
    target 66
    scenes 3
  ]
  edge [
    source 58
    target 70
    scenes 1
  ]
  edge [
    source 58
    target 76
    scenes 1
  ]
  edge [
    source 59
    target 60
    scenes 2
  ]
  edge [
    source 59
    target 61
    scenes 5
  ]
  edge [
    source 59
    target 62
    scenes 13
  ]
  edge [
    source 59
    target 63
    scenes 5
  ]
  edge [
    source 59
    target 64
    scenes 9
  ]
  edge [
    source 59
    target 65
    scenes 5
  ]
  edge [
    source 59
    target 66
    scenes 1
  ]
  edge [
    source 60
    target 61
    scenes 2
  ]
  edge [
    source 60
    target 62
    scenes 3
  ]
  edge [
    source 60
    target 63
    scenes 2
  ]
  edge [
    source 60
    target 64
    scenes 2
  ]
  edge [
    source 60
    target 65
    scenes 2
  ]
  edge [
    source 60
    target 66
    scenes 1
  ]
  edge [
    source 61
    target 62
    scenes 6
  ]
  edge [
    source 61
    target 63
    scenes 3
  ]
  edge [
    source 61
    target 64
    scenes 6
  ]
  edge [
    source 61
    target 65
    scenes 5
  ]
  edge [
    source 61
    target 66
    scenes 1
  ]
  edge [
    source 62
    target 63
    scenes 6
  ]
  edge [
    source 62
    target 64
    scenes 12
  ]
  edge [
    source 62
    target 65
    scenes 5
  ]
  edge [
    source 62
    target 66
    scenes 2
  ]
  edge [
    source 62
    target 76
    scenes 1
  ]
  edge [
    source 63
    target 64
    scenes 4
  ]
  edge [
    source 63
    target 65
    scenes 5
  ]
  edge [
    source 63
    target 66
    scenes 1
  ]
  edge [
    source 63
    target 76
    scenes 1
  ]
  edge [
    source 64
    target 65
    scenes 7
  ]
  edge [
    source 64
    target 66
    scenes 3
  ]
  edge [
    source 64
    target 76
    scenes 1
  ]
  edge [
    source 65
    target 66
    scenes 2
  ]
  edge [
    source 65
    target 76
    scenes 1
  ]
  edge [
    source 66
    target 76
    scenes 1
  ]
  edge [
    source 68
    target 69
    scenes 6
  ]
  edge [
    source 68
    target 70
    scenes 4
  ]
  edge [
    source 68
    target 71
    scenes 2
  ]
  edge [
    source 68
    target 75
    scenes 3
  ]
  edge [
    source 69
    target 70
    scenes 4
  ]
  edge [
    source 69
    target 71
    scenes 2
  ]
  edge [
    source 69
    target 75
    scenes 3
  ]
  edge [
    source 70
    target 71
    scenes 2
  ]
  edge [
    source 70
    target 75
    scenes 1
  ]
  edge [
    source 71
    target 75
    scenes 1
  ]
  edge [
    source 73
    target 74
    scenes 3
  ]
]
